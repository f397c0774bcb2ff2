"""Azure's price list, read from the emulator's stand-in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from azureml_emulator import Emulator

from shared.adapters.retail_prices import RetailPrices, price_list_url
from shared.domain.errors import TransientServiceError

A100, H100, OWN = "Standard_NC24ads_A100_v4", "Standard_NC40ads_H100_v5", "Standard_NC6s_v3"


class Listed:
    """A reader of the price list, and its clock."""

    def __init__(self, emulator: Emulator, currency: str | None = None) -> None:
        self.now = datetime(2026, 11, 1, tzinfo=UTC)
        self.prices = RetailPrices(
            emulator.environment["RETAIL_PRICES_URL"],
            lambda: emulator.settings.location,
            lambda: self.now,
            currency=currency,
            own={OWN.lower(): 1.25},
        )


def test_the_linux_price_on_demand_is_taken(azure_ml: Emulator) -> None:
    """Neither Windows, Spot, Low Priority nor a reservation; the operator's own price comes first."""
    prices = Listed(azure_ml).prices.of([A100, H100, OWN, "Standard_None"])
    assert (prices.of(A100), prices.of(H100), prices.of(OWN)) == (3.673, 6.98, 1.25)
    assert prices.of("Standard_None") is None
    assert prices.currency == "USD"
    assert len(azure_ml.calls("retail_prices.list")) == 1


def test_prices_come_in_the_currency_that_was_set(azure_ml: Emulator) -> None:
    """The list converts them; one that it does not know is told, not taken for dollars."""
    prices = Listed(azure_ml, "EUR").prices.of([A100])
    assert (prices.of(A100), prices.currency) == (pytest.approx(3.673 * 0.92, abs=1e-6), "EUR")


def test_a_price_is_read_once_a_day(azure_ml: Emulator) -> None:
    """After a day it is read again; while the list does not answer, the old price holds."""
    listed = Listed(azure_ml)
    listed.prices.of([A100])
    listed.now += timedelta(hours=23)
    assert listed.prices.of([A100]).of(A100) == 3.673
    assert len(azure_ml.calls("retail_prices.list")) == 1
    listed.now += timedelta(hours=2)
    listed.prices.of([A100])
    assert len(azure_ml.calls("retail_prices.list")) == 2
    listed.now += timedelta(hours=25)
    azure_ml.add_fault(match={"operation": "retail_prices.list"}, status=503, count=10)
    assert listed.prices.of([A100]).of(A100) == 3.673
    with pytest.raises(TransientServiceError):
        listed.prices.of([H100])


def test_an_answer_of_another_form_is_a_passing_fault(azure_ml: Emulator) -> None:
    """A proxy's page is no price."""
    azure_ml.add_fault(match={"operation": "retail_prices.list"}, status=200, body="<html>")
    with pytest.raises(TransientServiceError, match="price list"):
        Listed(azure_ml).prices.of([A100])


def test_the_public_list_is_read_unless_the_environment_names_another() -> None:
    """As the emulator's environment does."""
    assert price_list_url({}) == "https://prices.azure.com/api/retail/prices"
    assert price_list_url({"RETAIL_PRICES_URL": "https://other"}) == "https://other"
