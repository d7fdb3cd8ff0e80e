"""Orders: taken by a page, confirmed by a mule, counted in every web process."""
