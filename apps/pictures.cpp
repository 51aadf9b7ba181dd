#include "apps/pictures.h"

#include "core/error.h"
#include "data/draw.h"
#include "data/text_file.h"

namespace osprey {

std::vector<std::string> class_names(const std::string& path, int classes) {
  std::vector<std::string> names;
  if (path.empty()) {
    for (int i = 0; i < classes; ++i) names.push_back(fmt::format("class {}", i));
    return names;
  }
  names = read_lines(path, "a .names file, one class a line");
  while (!names.empty() && names.back().empty()) names.pop_back();
  if (int(names.size()) != classes)
    fail("{}: names {} classes, but the network has {}", path, names.size(), classes);
  return names;
}

Image drawn(const ByteImage& image, const std::vector<Detection>& found,
            const std::vector<std::string>& names) {
  Image picture = visible(unit_image(image));
  for (auto d = found.rbegin(); d != found.rend(); ++d)
    draw_box(picture, d->box, class_colour(d->class_id),
             fmt::format("{} {:.0f}%", names[size_t(d->class_id)], 100 * d->score));
  return picture;
}

}  // namespace osprey
