"""mrc-stage: the command line."""

from mrc_cli.application import application
from mrc_cli.command import end_on_sigterm, run

from mrc_stage import commands

app = application("Stage a data set: into a bucket, and from there onto a shared file system.")
app.command("prepare")(commands.prepare)
app.command("stage")(commands.stage)
app.command("verify")(commands.verify)
app.command("status")(commands.status)


def main() -> None:
    """The console script."""
    end_on_sigterm()
    run("mrc-stage", app)


if __name__ == "__main__":
    main()
