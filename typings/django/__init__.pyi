"""Django, as far as heliograph uses it. Source: Django 5.2."""
