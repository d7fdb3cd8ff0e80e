"""`heliograph top`: a running server in a terminal, live.

`views`, `columns` and `rates` turn values of the read model into text, and know no terminal. `reader` and `actions`
talk to the server, in threads. The others are widgets and screens of Textual, which only `heliograph top` imports.
"""
