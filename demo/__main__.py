"""`python -m demo`: a service recycled before your eyes, on this machine alone."""

from demo.stage import main
from demo.story import NEXT_STEP, play

if __name__ == "__main__":
    main(play, next_step=NEXT_STEP)
