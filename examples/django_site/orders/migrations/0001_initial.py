"""The table of orders."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Create the table of orders (written by makemigrations)."""

    initial = True
    dependencies = ()
    operations = (
        migrations.CreateModel(
            name="Order",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("what", models.SlugField()),
                ("confirmed", models.BooleanField(default=False)),
            ],
        ),
    )
