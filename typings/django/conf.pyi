class LazySettings:
    USE_TZ: bool

settings: LazySettings
