"""The running of a suite's steps, in their order."""

import traceback


def run(suite_in):
    """Makes a suite and runs its public methods; prints 'N passed, N failed' and returns the exit status."""
    passed = failed = 0
    suite = suite_in()
    try:
        steps = [name for name, value in vars(type(suite)).items()
                 if callable(value) and not name.startswith("_") and name != "end"]
        for name in steps:
            try:
                getattr(suite, name)()
                passed += 1
                print(f"ok      {name.replace('_', ' ')}", flush=True)
            except Exception:
                failed += 1
                print(f"FAILED  {name.replace('_', ' ')}\n{traceback.format_exc()}", flush=True)
    finally:
        if hasattr(suite, "end"):
            suite.end()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0
