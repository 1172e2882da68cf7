"""Where the packages of plugins are."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--wheels", required=True, help="the folder of the plugins' wheels")


@pytest.fixture
def wheels(request: pytest.FixtureRequest) -> Path:
    return Path(request.config.getoption("--wheels"))
