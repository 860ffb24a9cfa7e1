import subprocess
import sys

CODE = """
import sys, amphion_data
for name in amphion_data.__all__:
    getattr(amphion_data, name)
assert "torch" not in sys.modules, "torch was imported"
"""


def test_every_public_name_is_there_and_none_brings_torch():
    subprocess.run([sys.executable, "-c", CODE], check=True, timeout=60)


def test_the_package_itself_imports_nothing_heavy():
    code = "import sys, amphion_data, amphion_data.cli; print({'numpy', 'torch', 'soundfile'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "set()"


def test_no_public_name_is_that_of_a_module():
    """Whoever imports the module first would get it instead of what it holds."""
    from pathlib import Path

    import amphion_data

    modules = {path.stem for path in Path(amphion_data.__file__).parent.iterdir()}
    assert not modules & set(amphion_data.__all__)
