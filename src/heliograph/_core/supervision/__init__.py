"""The supervisor's decisions: events go in, actions come out. No clock, no process and no Unix signal in here."""
