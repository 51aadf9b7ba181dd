#include "apps/nms_options.h"

#include <algorithm>
#include <iterator>

namespace osprey {

void add_nms_options(CLI::App& command, DetectorSettings& settings) {
  command
      .add_option_function<std::string>(
          "--nms",
          [&settings](const std::string& name) {
            settings.nms = NmsKind(std::find(std::begin(kNmsNames), std::end(kNmsNames), name) - kNmsNames);
          },
          "how duplicates are found, instead of nms in the last head's section")
      ->check(CLI::IsMember(std::vector<std::string>(std::begin(kNmsNames), std::end(kNmsNames))));
  command
      .add_option("--nms-threshold", settings.nms_threshold,
                  "of two boxes with more overlap the surer stays, 0: all stay; instead of nms_threshold")
      ->check(CLI::Range(0.0, 1.0));
  command
      .add_option("--hier", settings.tree_threshold,
                  "of a tree of classes: a class must be likelier than this, or its parent is named")
      ->check(CLI::Range(0.0, 1.0));
}

}  // namespace osprey
