"""The parts of a recipe, and the stand-in for the API that it calls."""

import pytest

from tests.rigs.docs.outside import Geocoder
from tests.rigs.docs.recipes import LIMIT, Recipe, recipes

RECIPES = {recipe.function: recipe for recipe in recipes()}


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_recipe_is_short_and_names_its_files_alike(recipe: Recipe) -> None:
    assert recipe.handler_file == f"{recipe.function}/handler.py"
    code = [line for line in recipe.handler.text.splitlines() if line and not line.startswith(("import ", "from "))]
    assert 5 <= len(code) <= 20
    submissions = [command.text for command in recipe.commands if "submit" in command.words() or "curl" in command.text]
    batch = recipe.spec_file.removesuffix(".json")
    assert f'-H "X-Batch-Id: {batch}" -d @{recipe.spec_file}' in submissions[-2]
    assert f"--id {batch} --watch" in submissions[-1]


def test_the_limit_of_the_api_is_a_limit() -> None:
    geocoder = Geocoder(LIMIT)
    assert [geocoder.admit(100 + call / 1000) for call in range(LIMIT + 1)] == [True] * LIMIT + [False]
    assert geocoder.admit(101)
