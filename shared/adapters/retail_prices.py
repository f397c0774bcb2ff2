"""What VMs cost by Azure's public price list, the Retail Prices API.

It needs no sign-in, and has list prices: what an agreement takes off is not in them. Azure ML asks nothing
for a VM beyond its price (https://azure.microsoft.com/pricing/details/machine-learning). The API's filter,
items, currencies and pages are described in "Azure Retail Prices overview"
(https://learn.microsoft.com/rest/api/cost-management/retail-prices/azure-retail-prices).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from azure.core import PipelineClient
from azure.core.pipeline.policies import RetryPolicy, UserAgentPolicy
from azure.core.rest import HttpRequest, HttpResponse

from shared.adapters.http.response_parsing import parse_response
from shared.adapters.http.transport import BriefTransport
from shared.adapters.retries import CALL_RETRIES
from shared.adapters.sdk_errors import translated
from shared.domain.errors import TransientServiceError
from shared.domain.run.cost import Prices
from shared.logs import get_logger

PUBLIC_PRICE_LIST = "https://prices.azure.com/api/retail/prices"
API_VERSION = "2023-01-01-preview"
BASE_CURRENCY = "USD"
"""What Azure's prices are in; others are converted by the API, "for reference"."""

KEPT_FOR = timedelta(days=1)
"""How long a price is used without being read again."""

OTHER_METERS = ("Spot", "Low Priority")
"""What the meters of VMs that may be taken away have in their names."""

_log = get_logger(__name__)


class _Known(NamedTuple):
    price: float | None
    read_at: datetime


class RetailPrices:
    """Prices per hour of Linux VMs, pay as you go, in one region; each is read once a day."""

    def __init__(
        self,
        url: str,
        region: Callable[[], str],
        now: Callable[[], datetime],
        *,
        currency: str | None,
        own: Mapping[str, float],
    ) -> None:
        """Read nothing yet.

        Args:
            url: Where the price list is.
            region: Names the region, as Azure Resource Manager does.
            now: The clock.
            currency: ISO code of the currency; None is US dollars.
            own: The operator's own prices by size, which come before the list's.
        """
        self._url = url
        self._region = region
        self._now = now
        self._currency = currency or BASE_CURRENCY
        self._own = Prices(own)
        self._known: dict[str, _Known] = {}
        self._lock = threading.Lock()

    def of(self, sizes: Iterable[str]) -> Prices:
        """See `PriceList.of`. A price that cannot be read again today is used as it was."""
        wanted = {size for size in sizes if self._own.of(size) is None}
        stale = sorted(size for size in wanted if not self._is_fresh(size))
        if stale:
            try:
                found = self._read(stale)
            except TransientServiceError as fault:
                if not all(size in self._known for size in stale):
                    raise
                _log.warning("prices are older than a day", extra={"code": fault.code})
            else:
                read_at = self._now()
                with self._lock:
                    self._known |= {size: _Known(found.get(size), read_at) for size in stale}
        listed = {size: price for size in wanted if (price := self._known[size].price) is not None}
        return Prices({**self._own.per_hour, **listed}, self._currency)

    def _is_fresh(self, size: str) -> bool:
        known = self._known.get(size)
        return known is not None and self._now() - known.read_at < KEPT_FOR

    def _read(self, sizes: Iterable[str]) -> dict[str, float]:
        doing = "reading Azure's price list"
        client: PipelineClient[HttpRequest, HttpResponse] = PipelineClient(
            self._url,
            policies=[UserAgentPolicy("finetune-on-upload"), RetryPolicy(**CALL_RETRIES)],
            transport=BriefTransport(),
        )
        query = {
            "api-version": API_VERSION,
            "currencyCode": f"'{self._currency}'",
            "$filter": _filter(self._region(), sizes),
        }
        with translated(doing), client:
            response = client.send_request(HttpRequest("GET", self._url, params=query))
            response.raise_for_status()
        now = self._now()
        return parse_response(response.content, lambda body: _listed(body, now), doing)


def price_list_url(environment: Mapping[str, str] = os.environ) -> str:
    """Where the price list is: Azure's, unless the environment says otherwise, as the emulator's does."""
    return environment.get("RETAIL_PRICES_URL") or PUBLIC_PRICE_LIST


def _filter(region: str, sizes: Iterable[str]) -> str:
    """The newest API version compares values by case. A handful of sizes fits on the first page."""
    names = " or ".join(f"armSkuName eq '{size}'" for size in sizes)
    fixed = "serviceName eq 'Virtual Machines' and priceType eq 'Consumption'"
    return f"{fixed} and armRegionName eq '{region}' and ({names})"


def _listed(body: Any, now: datetime) -> dict[str, float]:
    """The price of each size by the newest of its Linux meters that holds by now."""
    newest: dict[str, tuple[datetime, float]] = {}
    for item in body["Items"]:
        since = datetime.fromisoformat(str(item["effectiveStartDate"]))
        size, price = str(item["armSkuName"]), float(item["retailPrice"])
        usable = (
            item["type"] == "Consumption"
            and item["unitOfMeasure"] == "1 Hour"
            and "Windows" not in str(item["productName"])
            and not any(kind in str(item["meterName"]) for kind in OTHER_METERS)
            and since <= now
            and 0 <= price < float("inf")
        )
        if usable and (size not in newest or since > newest[size][0]):
            newest[size] = (since, price)
    return {size: price for size, (_, price) in newest.items()}
