from collections.abc import Iterable
from types import ModuleType

class AppConfig:
    name: str
    label: str
    verbose_name: str
    module: ModuleType
    def ready(self) -> None: ...

class Apps:
    def is_installed(self, app_name: str) -> bool: ...
    def get_app_configs(self) -> Iterable[AppConfig]: ...

apps: Apps
