"""Azure's public price list of VMs: a stand-in for ``https://prices.azure.com/api/retail/prices``.

The shape of an item and of a page, the filter and the currencies are those of "Azure Retail Prices overview"
(learn.microsoft.com, 2023-01-01-preview). The amounts are chosen, near what Azure asks in East US. As there,
a size has several items: Linux, Windows, Spot, Low Priority, and a reservation for a year.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from azureml_emulator.core.errors import ServiceError
from azureml_emulator.core.http import Request, Response, json_response
from azureml_emulator.core.routing import Evidence, Plane, Route
from azureml_emulator.core.state import EmulatorState
from azureml_emulator.core.vm_sizes import SIZES, VmSize

PAGE = 100
"""Items of a page, as documented; the rest is where ``NextPageLink`` leads."""

CURRENCIES = {"USD": 1.0, "EUR": 0.92, "GBP": 0.79}
"""Units of each for a dollar (chosen)."""

_DOLLARS = {
    "Standard_NC4as_T4_v3": 0.526,
    "Standard_NC8as_T4_v3": 0.752,
    "Standard_NC16as_T4_v3": 1.204,
    "Standard_NC64as_T4_v3": 4.352,
    "Standard_NC6s_v3": 3.06,
    "Standard_NC12s_v3": 6.12,
    "Standard_NC24s_v3": 12.24,
    "Standard_ND40rs_v2": 22.032,
    "Standard_NC24ads_A100_v4": 3.673,
    "Standard_NC48ads_A100_v4": 7.346,
    "Standard_NC96ads_A100_v4": 14.692,
    "Standard_ND96asr_v4": 27.197,
    "Standard_ND96amsr_A100_v4": 32.77,
    "Standard_ND96isr_H100_v5": 98.32,
    "Standard_NC40ads_H100_v5": 6.98,
    "Standard_NC80adis_H100_v5": 13.96,
}
_DOLLARS_PER_CORE = 0.05
_KINDS = (
    # Suffix of meter and SKU, of the product, the price's type, its share of the Linux price, and its unit.
    ("", "", "Consumption", 1.0, "1 Hour"),
    ("", " Windows", "Consumption", 1.3, "1 Hour"),
    (" Spot", "", "Consumption", 0.25, "1 Hour"),
    (" Low Priority", "", "Consumption", 0.2, "1 Hour"),
    ("", "", "Reservation", 24 * 365 * 0.6, "1 Hour"),
)
_FIELDS = {
    "armRegionName": "armRegionName",
    "armSkuName": "armSkuName",
    "currencyCode": "currencyCode",
    "meterName": "meterName",
    "priceType": "type",
    "productName": "productName",
    "serviceFamily": "serviceFamily",
    "serviceName": "serviceName",
    "skuName": "skuName",
}
_CLAUSE = re.compile(r"\s*(\w+)\s+eq\s+'([^']*)'\s*")


def _items(state: EmulatorState, currency: str) -> Iterator[dict[str, Any]]:
    for size in SIZES.values():
        for suffix, product, kind, share, unit in _KINDS:
            yield _item(state, size, currency, (suffix, product, kind, share, unit))


def _item(
    state: EmulatorState, size: VmSize, currency: str, kind: tuple[str, str, str, float, str]
) -> dict[str, Any]:
    suffix, product, price_type, share, unit = kind
    short = size.name.removeprefix("Standard_").replace("_", " ")
    dollars = _DOLLARS.get(size.name, size.cores * _DOLLARS_PER_CORE)
    price = round(dollars * share * CURRENCIES[currency], 6)
    meter = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{size.name}{suffix}{product}"))
    return {
        "currencyCode": currency,
        "tierMinimumUnits": 0.0,
        "retailPrice": price,
        "unitPrice": price,
        "armRegionName": state.settings.location,
        "location": "Local Region",
        "effectiveStartDate": "2024-01-01T00:00:00Z",
        "meterId": meter,
        "meterName": f"{short}{suffix}",
        "productId": f"DZH318Z0{meter[:4].upper()}",
        "skuId": f"DZH318Z0{meter[:4].upper()}/{meter[9:13].upper()}",
        "productName": f"Virtual Machines {short.split()[0]} Series{product}",
        "skuName": f"{short}{suffix}",
        "serviceName": "Virtual Machines",
        "serviceId": "DZH313Z7MMC8",
        "serviceFamily": "Compute",
        "unitOfMeasure": unit,
        "type": price_type,
        "isPrimaryMeterRegion": True,
        "armSkuName": size.name,
        **({"reservationTerm": "1 Year"} if price_type == "Reservation" else {}),
    }


def _refusal(message: str) -> ServiceError:
    return ServiceError(json_response({"Error": {"Code": "BadRequest", "Message": message}}, 400))


def _alternatives(text: str) -> list[list[tuple[str, str]]]:
    """The filter as clauses of which all must hold; of each, one alternative. Values are compared by case."""
    clauses = []
    for part in filter(None, re.split(r"\s+and\s+", text.strip())):
        either = []
        for alternative in re.split(r"\s+or\s+", part.strip().removeprefix("(").removesuffix(")")):
            found = _CLAUSE.fullmatch(alternative)
            if found is None or found[1] not in _FIELDS:
                raise _refusal("Invalid OData parameters supplied")
            either.append((_FIELDS[found[1]], found[2]))
        clauses.append(either)
    return clauses


def _prices(state: EmulatorState, request: Request) -> Response:
    """A page of the items that the filter lets through."""
    currency = request.query.get("currencyCode", "USD").strip("'")
    if currency not in CURRENCIES:
        raise _refusal(f"Currency {currency} is not supported")
    asked, skip = request.query.get("$filter", ""), request.query.get("$skip", "0")
    if not skip.isdigit():
        raise _refusal("Invalid OData parameters supplied")
    clauses, start = _alternatives(asked), int(skip)
    found = [
        item
        for item in _items(state, currency)
        if all(any(item.get(field) == value for field, value in either) for either in clauses)
    ]
    page = found[start : start + PAGE]
    following = None
    if start + PAGE < len(found):
        query = urlencode({"currencyCode": f"'{currency}'", "$filter": asked, "$skip": start + PAGE})
        following = f"{request.base}{request.path}?{query}"
    return json_response(
        {
            "BillingCurrency": currency,
            "CustomerEntityId": "Default",
            "CustomerEntityType": "Retail",
            "Items": page,
            "NextPageLink": following,
            "Count": len(page),
        }
    )


ROUTES = (
    Route(
        "retail_prices.list",
        "GET",
        "/api/retail/prices",
        _prices,
        Plane.OPEN,
        Evidence.DOCUMENTED,
        query=("$filter", "$skip", "currencyCode"),
    ),
)
