"""The Dask dashboard of a scheduler, loaded when somebody looks at it.

Tested in tests/cluster/test_local.py.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distributed import Scheduler

# Half a second of imports (bokeh) that a run whose dashboard nobody opens does without.
WITHOUT_DASHBOARD = {"dashboard": False}


def add_dashboard(scheduler: "Scheduler") -> None:
    """Let the first visit of a page that the scheduler does not have bring up its dashboard.

    Parameters
    ----------
    scheduler : distributed.Scheduler
        Of this process, made with the options `WITHOUT_DASHBOARD`.
    """
    from tornado import web

    application = scheduler.http_application

    class FirstVisit(web.RequestHandler):
        """Connects the dashboard, and sends the visitor to the same page again."""

        def get(self, *_: Any) -> None:
            """Answer a visit."""
            if entrance in application.applications:
                from distributed.dashboard.scheduler import connect

                application.applications.remove(entrance)
                connect(application, scheduler.http_server, scheduler)
            self.redirect(self.request.uri or "/")

    entrance = web.Application([(r".*", FirstVisit)])
    application.add_application(entrance)
