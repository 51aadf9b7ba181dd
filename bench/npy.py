"""float32 arrays in .npy files, with Python's own modules alone."""
import array
import ast


def read(path):
    """(shape, values)."""
    with open(path, "rb") as file:
        magic = file.read(8)
        if magic[:6] != b"\x93NUMPY":
            raise ValueError(f"{path}: not a .npy file")
        length = int.from_bytes(file.read(2 if magic[6] == 1 else 4), "little")
        header = ast.literal_eval(file.read(length).decode("latin1"))
        if header["descr"] != "<f4" or header["fortran_order"]:
            raise ValueError(f"{path}: expected float32 in C order, not {header}")
        values = array.array("f")
        values.frombytes(file.read())
    return header["shape"], values


def write(path, shape, values):
    """`values` is an array.array("f"), or a list of numbers."""
    header = repr({"descr": "<f4", "fortran_order": False, "shape": tuple(shape)}).encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
        array.array("f", values).tofile(file)
