"""The app's settings, read from the environment in one go.

`groups` declares each setting under its concern, `settings` reads them all and derives what the domain needs,
`checks` compares settings with each other, `storage` says how the data account is reached.
"""

from shared.config.groups import setting_groups
from shared.config.settings import Settings, SettingsError, setting_fields
from shared.config.storage import DATA_CONNECTION, StorageConnection

__all__ = [
    "DATA_CONNECTION",
    "Settings",
    "SettingsError",
    "StorageConnection",
    "setting_fields",
    "setting_groups",
]
