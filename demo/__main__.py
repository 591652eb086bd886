"""`python -m demo`: a service recycled before your eyes, on this machine alone."""

from demo.stage import main
from demo.story import play

if __name__ == "__main__":
    main(play)
