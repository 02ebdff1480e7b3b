"""mrc-images: the command line."""

from mrc_cli.application import application
from mrc_cli.command import end_on_sigterm, run

from mrc_images import commands

app = application("Build the container images of the charts and push them to ECR or another registry.")
app.command("list")(commands.list_)
app.command("build")(commands.build)
app.command("push")(commands.push)


def main() -> None:
    """The console script."""
    end_on_sigterm()
    run("mrc-images", app)


if __name__ == "__main__":
    main()
