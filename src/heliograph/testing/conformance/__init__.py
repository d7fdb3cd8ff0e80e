"""The promises, row by row, as tests that every engine passes.

To prove an engine: a test module that imports `*` from here and has a fixture `stage` giving a
`heliograph.testing.harness.harness.Stage`. A test that needs a feature which the stage does not have is skipped.
"""

from heliograph.testing.conformance.requirements import *  # noqa: F403
from heliograph.testing.conformance.sending import *  # noqa: F403
from heliograph.testing.conformance.signals import *  # noqa: F403
from heliograph.testing.conformance.targets import *  # noqa: F403
from heliograph.testing.conformance.triggers import *  # noqa: F403
