"""Enrolment tokens: written and read back, whole or not at all; the pin is the digest of the exact bytes."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.enrolment import SECRET_LENGTH, EnrolmentToken, pin, read_token
from schemas.names import ID_PATTERN

SITES = st.from_regex(ID_PATTERN, fullmatch=True).map(lambda text: text.strip("\n"))
SECRETS = st.text(string.ascii_letters + string.digits, min_size=SECRET_LENGTH, max_size=SECRET_LENGTH)
TOKENS = st.builds(EnrolmentToken, SITES, SECRETS, st.integers(1, 10**9), st.binary(max_size=64).map(pin))


@given(TOKENS)
def test_token_reads_back_as_it_was_written(token: EnrolmentToken) -> None:
    assert read_token(token.text) == token
    assert read_token(f"  {token.text}\n") == token, "as it comes out of a terminal"


@given(TOKENS, st.data())
def test_token_that_was_cut_or_has_another_character_is_no_token_or_another_one(
    token: EnrolmentToken, data: st.DataObject
) -> None:
    end = data.draw(st.integers(0, len(token.text) - 1))
    with pytest.raises(ValueError, match="no enrolment token"):
        read_token(token.text[:end])
    place, other = data.draw(st.integers(0, len(token.text) - 1)), data.draw(st.sampled_from("éX .\0"))
    changed = token.text[:place] + other + token.text[place + 1 :]
    try:
        found = read_token(changed)
    except ValueError:
        return
    assert found != token or changed.strip() == token.text


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_pins_differ_where_bytes_do(one: bytes, other: bytes) -> None:
    assert (pin(one) == pin(other)) == (one == other)
