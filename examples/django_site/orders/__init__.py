"""Orders: a page stores them, a mule confirms them, every web worker counts them, the spooler mails."""
