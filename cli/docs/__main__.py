"""`make docs`: write the generated pages anew."""

from cli.docs import FOLDER, PAGES


def main() -> None:
    """Write every page."""
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page())


if __name__ == "__main__":
    main()
