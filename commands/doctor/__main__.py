"""python -m commands.doctor [--mend] [--all]"""

from commands.doctor.command import main

if __name__ == "__main__":
    main()
