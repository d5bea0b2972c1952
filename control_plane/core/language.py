"""The languages that people read: pages, alerts and notifications speak them (pure)."""

from typing import Literal

Language = Literal["en", "fr"]
