"""Pure decisions: no clock, socket, process or thread."""
