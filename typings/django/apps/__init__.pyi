class AppConfig:
    name: str
    label: str
    verbose_name: str
    def ready(self) -> None: ...

class Apps:
    def is_installed(self, app_name: str) -> bool: ...

apps: Apps
