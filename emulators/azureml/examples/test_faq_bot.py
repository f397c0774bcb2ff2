"""The bot's test: the whole way from a list of answers to a reply, in seconds and without Azure."""

from __future__ import annotations

import pytest
from azure.core.exceptions import HttpResponseError
from azureml_emulator import Emulator
from faq_bot import FaqBot

ANSWERS = {
    "When do you open?": "We open at nine in the morning, every day but Sunday.",
    "Where are you?": "You find us at the old harbour, behind the lighthouse.",
    "Do you take cards?": "We take every card, and coins as well.",
    "Can I bring a dog?": "Dogs are welcome on the terrace.",
}


@pytest.fixture
def bot(azureml_emulator: Emulator) -> FaqBot:
    """A bot in the emulator's workspace."""
    return FaqBot("faq-bot", *azureml_emulator.workspace)


def test_the_bot_answers_what_it_was_taught(azureml_emulator: Emulator, bot: FaqBot) -> None:
    """Train, deploy, ask, delete: the reply is the answer from the list, and nothing is left."""
    bot.deploy(bot.train(ANSWERS))
    assert "harbour" in bot.ask("Where are you?")
    bot.delete()
    assert azureml_emulator.resources("endpoints") == {"endpoints": []}


def test_a_missing_quota_is_reported(azureml_emulator: Emulator, bot: FaqBot) -> None:
    """The service's own words reach whoever runs the bot."""
    azureml_emulator.set_quota({"standardNCADSA100v4Family": 0})
    with pytest.raises(HttpResponseError, match="quota"):
        bot.train(ANSWERS)
