"""The settings of key transparency alone: for who runs it by itself, from a site file that need have no zones."""

from __future__ import annotations

from pathlib import Path

from bartizan.config import source as sources
from bartizan.config.convert import convert_table
from bartizan.config.problem import SiteError
from bartizan.config.transparency import Transparency, located
from bartizan.config.transparency_findings import transparency_findings
from bartizan.config.validate import address_fault

__all__ = ["read_transparency"]


def read_transparency(site: Path) -> Transparency:
    """The table `[transparency]` of a site file, its files made absolute. Raises SiteError with all that is wrong."""
    source = sources.parse(str(site), sources.read(str(site)))
    settings, findings = convert_table(source, "transparency", Transparency)
    if settings is not None:
        findings += transparency_findings(settings, source.directory, address_fault)
    if settings is None or findings:
        raise SiteError(source.problems(findings))
    return located(settings, source.directory)
