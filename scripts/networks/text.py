"""The text of a .cfg file, section by section."""


# What PyTorch's weights were trained with: of the channels red, green and blue, in units of 0..1.
IMAGENET_COLOURS = dict(mean=".485,.456,.406", deviation=".229,.224,.225")


class Cfg:
    def __init__(self, head, **net):
        """`head`: lines of comment on top; `net`: the keys of [net]."""
        self.lines = ["# " + line for line in head]
        self.count = 0  # of layers: the index that the next section gets
        self._section("net", net)

    def comment(self, *lines):
        self.lines += [""] + ["# " + line for line in lines]

    def add(self, section, **keys):
        """A layer, with these keys in this order: `from_` becomes from, None is left out. Returns its index."""
        self._section(section, keys)
        self.count += 1
        return self.count - 1

    def _section(self, section, keys):
        self.lines += ["", "[%s]" % section]
        for key, value in keys.items():
            if value is not None:
                self.lines.append("%s=%s" % (key.rstrip("_"), value))

    def text(self):
        return "\n".join(self.lines).strip() + "\n"


def flag(value):
    """A key that is there only where it says 1."""
    return 1 if value else None
