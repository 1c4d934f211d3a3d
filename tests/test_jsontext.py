"""JSON with and without the optional orjson: the same telegrams, the same refusals."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mysense import jsontext
from tests.conftest import CHECKOUT

WITHOUT = (
    "import sys; sys.modules['orjson'] = None; import pytest;"
    "sys.exit(pytest.main(['-q', '--import-mode=importlib', '-p', 'no:cacheprovider',"
    " *sys.argv[1:]]))"
)


@pytest.mark.parametrize(
    "tests",
    ["tests/test_jsonlines.py", "tests/journal/test_view.py", "tests/influx/test_joining.py"],
)
def test_the_same_without_orjson(tests):
    """What holds with the extra `fast` holds without it."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(CHECKOUT / tests)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]


@given(
    st.dictionaries(
        st.text(max_size=8),
        st.floats(allow_nan=False, allow_infinity=False) | st.none() | st.text(),
    )
)
def test_what_is_written_reads_back(value):
    """Numbers to the last digit, texts to the last sign."""
    assert json.loads(jsontext.dumps(value)) == jsontext.loads(jsontext.dumps(value)) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_not_written(value):
    """It would become null in silence."""
    with pytest.raises(ValueError, match="JSON"):
        jsontext.dumps({"temp": value})
