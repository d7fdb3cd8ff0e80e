"""The guarantees as tests that every engine must pass.

To test an engine, import `*` from here in a test module and define a fixture `harness` that returns a
`heliograph.testing.harness.harness.Harness`. A test that needs a capability that the harness lacks is skipped.

The id of a guarantee is a letter and a number. `requirements.LETTERS` explains the letters.
"""

from heliograph.testing.conformance.coalescing import *  # noqa: F403
from heliograph.testing.conformance.delivery import *  # noqa: F403
from heliograph.testing.conformance.life import *  # noqa: F403
from heliograph.testing.conformance.remote import *  # noqa: F403
from heliograph.testing.conformance.requirements import *  # noqa: F403
from heliograph.testing.conformance.signals import *  # noqa: F403
from heliograph.testing.conformance.targets import *  # noqa: F403
from heliograph.testing.conformance.task_origins import *  # noqa: F403
from heliograph.testing.conformance.tasks import *  # noqa: F403
from heliograph.testing.conformance.triggers import *  # noqa: F403
from heliograph.testing.conformance.uwsgiconf_names import *  # noqa: F403
from heliograph.testing.conformance.waiting import *  # noqa: F403
