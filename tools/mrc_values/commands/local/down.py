"""mrc-values local down"""

from mrc_cli.terminal import say

from mrc_values.local.arguments import DEFAULT_STATE_DIRECTORY, Name, StateDirectory, open_store


def down(name: Name, directory: StateDirectory = DEFAULT_STATE_DIRECTORY) -> None:
    """Stop every process of a release; its run directory is kept.

    Example: mrc-values local down trial
    """
    from mrc_values import printed
    from mrc_values.local.down import stop

    store = open_store(directory, name)
    release = store.get(name)
    say("stopped." if stop(store, release) else "nothing was running.")
    say(f"kept: {release.run_dir}. Resume with: {printed.local('up', name, directory, release.up_words)}")
