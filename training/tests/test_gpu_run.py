"""Files in parts come back whole."""
from storybook.gpu_run import join_parts, split_file


def test_split_and_join(tmp_path):
    file = tmp_path / "packed.safetensors"
    file.write_bytes(bytes(range(256)) * 10)
    parts = split_file(file, tmp_path, 1000)
    assert [p.stat().st_size for p in parts] == [1000, 1000, 560]
    join_parts(tmp_path, "packed.safetensors", tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == file.read_bytes()
