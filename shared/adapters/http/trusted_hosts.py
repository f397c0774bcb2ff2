"""The hosts that get this app's token: Azure Resource Manager, and Azure ML's data planes of the same cloud.

Services name addresses in their answers (`nextLink`, `AzureAsyncOperationUri`, `discoveryUrl`, …). Whoever
can change an answer must not be able to have the token sent elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from shared.domain.errors import ServiceRefusedError

_PUBLIC = "management.azure.com"
DATA_PLANES = {
    _PUBLIC: (".api.azureml.ms", ".experiments.azureml.net"),
    "management.usgovcloudapi.net": (".api.ml.azure.us",),
    "management.chinacloudapi.cn": (".api.ml.azure.cn",),
}
"""Domains of Azure ML's data planes, by the Azure Resource Manager of their cloud (source: azure-ai-ml
1.35.2, `_azure_environments` and `_registry_utils`). Endpoints have other domains: they run others' code."""

_PLAIN = re.compile(r"https://[A-Za-z0-9.-]+(:\d+)?(?:[/?][^\\\x00-\x1f\x7f]*)?")
# What two parsers may read differently is no plain address: user names, backslashes, line breaks.


class TrustedHosts:
    """Tells whether an address may be sent the token."""

    def __init__(self, resource_manager: str, others: Iterable[str] = ()) -> None:
        """Begin with the addresses that the operator's environment names.

        Args:
            resource_manager: Address of Azure Resource Manager, from the cloud's own metadata.
            others: Addresses of further services, e.g. where registries are looked up.
        """
        self._authorities = {_authority(url) for url in (resource_manager, *others)}
        self._domains = DATA_PLANES.get(urlsplit(resource_manager).hostname or "", ())

    def check(self, url: str) -> None:
        """Let a trusted address pass.

        Raises:
            ServiceRefusedError: For any other.
        """
        if _PLAIN.fullmatch(url):
            authority = _authority(url)
            if authority in self._authorities or (
                authority.endswith(":443") and authority.removesuffix(":443").endswith(self._domains)
            ):
                return
        message = f"an answer led to {url[:200]!r}, which is none of this cloud's services: nothing was sent"
        raise ServiceRefusedError(message, code="ForeignAddress")


def _authority(url: str) -> str:
    """Host and port as the HTTP client reads them."""
    try:
        parsed = parse_url(url)
    except LocationParseError:
        return ""
    return f"{(parsed.host or '').lower()}:{parsed.port or 443}"
