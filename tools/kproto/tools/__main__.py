"""`python -m kproto.tools`: the `kproto` command."""

from kproto.tools.cli import main

if __name__ == "__main__":
    main()
