"""The Dask dashboard of a scheduler, loaded when somebody looks at it who knows its address.

All accounts of a machine reach its loopback. The address of a dashboard holds a token, so that it
is known to who has started the run alone; services have no dashboard.

Tested in tests/cluster/test_local.py.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distributed import Scheduler

# Half a second of imports (bokeh) that a run whose dashboard nobody opens does without.
WITHOUT_DASHBOARD = {"dashboard": False}
OWN_MACHINE = "127.0.0.1:0"
OF_WORKERS = {**WITHOUT_DASHBOARD, "dashboard_address": OWN_MACHINE}


def scheduler_options(token: str) -> dict[str, Any]:
    """Return the options of a scheduler whose pages are all below a token."""
    return {**OF_WORKERS, "http_prefix": f"/{token}"}


def link_of_dashboard(token: str) -> str:
    """Return what Dask is to make the address of such a dashboard of."""
    return f"{{scheme}}://127.0.0.1:{{port}}/{token}/status"


def without_pages(kind: type) -> type:
    """Return a kind of Dask's servers (scheduler or worker) that listens to no browser."""

    def start_http_server(*_: Any, **__: Any) -> None:
        """Leave it."""

    return type(kind.__name__, (kind,), {"start_http_server": start_http_server})


def add_dashboard(scheduler: "Scheduler", token: str) -> None:
    """Let the first visit of a page that the scheduler does not have bring up its dashboard.

    Parameters
    ----------
    scheduler : distributed.Scheduler
        Of this process, made with `scheduler_options`.
    token : str
        What addresses begin with; visits of others find nothing.
    """
    from tornado import routing, web

    application = scheduler.http_application
    below = rf"/{token}/.*"

    class FirstVisit(web.RequestHandler):
        """Connects the dashboard, and sends the visitor to the same page again."""

        def get(self, *_: Any) -> None:
            """Answer a visit."""
            if entrance in application.applications:
                from distributed.dashboard.scheduler import connect

                application.applications.remove(entrance)
                connect(application, scheduler.http_server, scheduler, prefix=f"/{token}")
            self.redirect(self.request.uri or "/")

    entrance = web.Application([(f"({below})", FirstVisit)])
    application.add_application(entrance)
    # Dask would send who asks for "/" to the dashboard, and tell them the token by that.
    gate = routing.RuleRouter([routing.Rule(routing.PathMatches(below), application)])
    scheduler.http_server.request_callback = gate
