"""The worked example of plugins/README.md."""

import inspect
import pathlib

from mtlaug_sb import load_plugins, plugins
from mtlaug_sb.testing import check_plugin

FOLDER = pathlib.Path(__file__).parents[1] / "plugins"


def test_every_file_in_plugins_keeps_its_contract():
    load_plugins(str(FOLDER))
    own = [cls for cls in plugins().values() if pathlib.Path(inspect.getsourcefile(cls)).parent == FOLDER]
    assert own
    for cls in own:
        check_plugin(cls)


def test_the_readme_shows_the_yaml_as_it_is():
    shown = (FOLDER / "README.md").read_text()
    yaml = (FOLDER.parent / "hparams" / "mtl_gender.yaml").read_text()
    block = shown.split("```yaml\n")[1].split("```")[0]
    for line in block.splitlines():
        assert line.split("   #")[0].rstrip() in yaml
