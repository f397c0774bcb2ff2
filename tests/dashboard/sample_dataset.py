"""A dataset that the local model learns well: what is held back asks in other words for what was trained."""

from __future__ import annotations

import json

TURNS = {
    "How do I {}?": "{}",
    "What is the best way to {}?": "{} Nothing works better.",
    "Can you tell me how to {}?": "Gladly. {}",
    "Please explain step by step how to {}.": "Here is how. {} That is all there is to it.",
    "I have never done it before: how can I {}?": "It is easier than it looks. {}",
}

ANSWERS = {
    "descale a kettle": "Fill it halfway with equal parts of water and white vinegar, bring it to the boil"
    " and let it stand for an hour. Pour it out, then boil fresh water twice.",
    "keep a sourdough starter alive": "Keep it in the fridge and feed it once a week with equal weights of"
    " flour and water. Take it out the evening before you bake.",
    "cook basmati rice": "Rinse it until the water stays clear. Bring one cup of rice and one and a half cups"
    " of water to the boil, cover, and leave it on the lowest heat for twelve minutes.",
    "sharpen a kitchen knife": "Soak a whetstone until no more bubbles rise. Hold the blade at about fifteen"
    " degrees and draw it along the stone, ten strokes a side, then repeat on the fine grain.",
    "store fresh herbs": "Treat parsley, coriander and dill like flowers: trim the stems and stand them in a"
    " glass of water. Wrap rosemary and thyme in a damp cloth and keep them in the fridge.",
    "choose a ripe melon": "Pick it up: it should feel heavy for its size. Smell the end opposite the stem;"
    " if it is sweet there, the melon is ripe.",
    "get rid of fruit flies": "Remove what they breed in: ripe fruit, the compost bin, the damp sponge. Then"
    " set out a glass of vinegar with a drop of washing-up liquid.",
    "season a cast-iron pan": "Wash and dry it well, rub it with a very thin film of linseed oil, and bake it"
    " upside down at 230 °C for an hour. Let it cool in the oven, and repeat three times.",
    "poach an egg": "Bring water with a splash of vinegar to just below the boil, stir a gentle whirl and let"
    " the egg slide in from a cup. Lift it out after three minutes.",
    "make a vinaigrette": "Whisk one part of vinegar with a spoon of mustard and a pinch of salt, then add"
    " three parts of oil in a thin stream until it is smooth.",
    "remove red wine from a tablecloth": "Act while it is wet. Blot, don't rub. Sprinkle salt over it, wait a"
    " few minutes, rinse with cold water, and wash it as usual.",
    "prepare dried chickpeas": "Soak them overnight in plenty of water with a pinch of baking soda. Drain"
    " them and simmer them for about an hour, with salt only at the end.",
    "stop an avocado from turning brown": "Leave the stone in, brush the cut side with lemon juice, and press"
    " cling film straight onto it, so that no air gets there.",
    "roast vegetables evenly": "Cut them to one size, dry them, and toss them in oil and salt. Spread them"
    " out in one layer and give them 30 minutes at 220 °C, turning them once.",
    "thicken a soup": "Purée a cup of it and stir that back in. If it needs more, whisk a spoon of starch"
    " into cold water and let it simmer along for two minutes.",
    "peel garlic quickly": "Crush the cloves under the flat of a knife. The skin bursts and slips off by"
    " itself.",
    "rescue a stew with too much salt": "Add what takes salt up: a raw potato, a handful of rice or beans, or"
    " unsalted stock. A spoon of lemon juice hides what is left.",
    "clean a burnt pot": "Cover the bottom with water and two spoons of baking soda, boil it for ten minutes"
    " and leave it overnight. The crust then comes off with a wooden spoon.",
    "keep bread fresh": "Keep it in a linen bag or a wooden box, never in the fridge, where it goes stale"
    " faster. What you won't eat in three days, slice and freeze.",
    "whip cream": "Chill the cream, the bowl and the whisk. Begin slowly, go faster as it thickens, and stop"
    " as soon as the whisk leaves lines that stay.",
}


def rows() -> bytes:
    """The dataset, a conversation a line."""
    conversations = [
        [
            {"role": "user", "content": asked.format(task)},
            {"role": "assistant", "content": said.format(answer)},
        ]
        for asked, said in TURNS.items()
        for task, answer in ANSWERS.items()
    ]
    return b"".join(json.dumps({"messages": turns}).encode() + b"\n" for turns in conversations)
