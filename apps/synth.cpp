// osprey synth: writes the built-in data set.
#include "data/synth.h"

#include <iterator>
#include <memory>

#include "apps/commands.h"
#include "core/error.h"
#include "core/log.h"
#include "data/text_file.h"

namespace osprey {
namespace {

void set_size(const std::string& text, SynthOptions& options) {
  const size_t x = text.find('x');
  if (x == std::string::npos || !parse_number(std::string_view(text).substr(0, x), options.width) ||
      !parse_number(std::string_view(text).substr(x + 1), options.height))
    fail("--size is WIDTHxHEIGHT in pixels, such as 256x256, not `{}`", text);
}

}  // namespace

void add_synth(CLI::App& app) {
  struct Arguments {
    SynthOptions options;
    std::string folder, size = "256x256", kind = kSynthKindNames[0];
  };
  auto a = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("synth", "Write a data set of drawn aerial scenes to train on");
  command->add_option("folder", a->folder, "where to; it is made")->required();
  command->add_option("--kind", a->kind, "usual: objects of 6 to 56 pixels; tiny: many, of 4 to 12")
      ->check(CLI::IsMember(std::vector<std::string>(std::begin(kSynthKindNames), std::end(kSynthKindNames))))
      ->capture_default_str();
  command->add_option("--images", a->options.images, "images for training")->capture_default_str();
  command->add_option("--valid", a->options.valid_images, "images for validation")->capture_default_str();
  command->add_option("--size", a->size, "WIDTHxHEIGHT of the images in pixels")->capture_default_str();
  command->add_option("--seed", a->options.seed, "other seeds are other scenes")->capture_default_str();
  command->add_option("--format", a->options.format, "of the labels: darknet, voc or coco")
      ->capture_default_str();
  command->callback([a] {
    const SynthOptions of_kind =
        synth_options(a->kind == kSynthKindNames[0] ? SynthKind::usual : SynthKind::tiny);
    a->options.kind = of_kind.kind;
    a->options.min_objects = of_kind.min_objects;
    a->options.max_objects = of_kind.max_objects;
    set_size(a->size, a->options);
    write_synth(a->options, a->folder);
    info("{}/synth.data: {} images for training, {} for validation", a->folder, a->options.images,
         a->options.valid_images);
  });
}

}  // namespace osprey
