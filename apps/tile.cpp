// osprey tile: a data set of large images as one of their tiles.
#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "apps/commands.h"
#include "core/file.h"
#include "core/log.h"
#include "data/tiles.h"

namespace osprey {
namespace {

struct Arguments {
  std::string data, out;
  TileGrid grid;
  bool background = false, strict = false;
};

void write_split(const Arguments& a, const Dataset& dataset, const char* name) {
  // What is measured has background in it; what is learnt from only if asked for.
  const bool background = a.background || std::string(name) == "valid";
  const WrittenTiles written = write_tiles(dataset, a.grid, background, a.out, name);
  info("{}: {} tiles of {} images, with {} objects", name, written.tiles, dataset.samples.size(),
       written.objects);
}

void run_tile(const Arguments& a) {
  const DataFile data = read_data_file(a.data);
  const Dataset train = load_dataset(data, Split::train, a.strict);
  write_split(a, train, "train");
  const bool has_valid = data.has(Split::valid);
  if (has_valid) write_split(a, load_dataset(data, Split::valid, a.strict), "valid");
  const std::filesystem::path out = a.out;
  write_file((out / "tiles.names").string(), fmt::format("{}\n", fmt::join(train.names, "\n")));
  write_file((out / "tiles.data").string(),
             fmt::format("classes = {}\nroot    = .\ntrain   = train.txt\n{}names   = tiles.names\n",
                         train.names.size(), has_valid ? "valid   = valid.txt\n" : ""));
}

}  // namespace

void add_tile(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* command =
      app.add_subcommand("tile", "Cut a data set of large images into tiles, to train on small objects");
  command->add_option("data", a->data, "the .data file")->required();
  command->add_option("out", a->out, "where to; tiles.data in it is the new set, with Darknet labels")
      ->required();
  command->add_option("--size", a->grid.size, "width and height of a tile in pixels")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--overlap", a->grid.overlap, "the part of a tile that neighbours share at least")
      ->check(CLI::Range(0.0, 0.9))
      ->capture_default_str();
  command->add_flag("--background", a->background,
                    "keep tiles without objects for training, too; for validation all are kept");
  command->add_flag("--strict", a->strict, "a broken label or image list is an error");
  command->callback([a] { run_tile(*a); });
}

}  // namespace osprey
