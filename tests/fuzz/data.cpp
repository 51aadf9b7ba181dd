// A .data file with the names of the classes and the list of the images, and what a data set is made of them.
// An input is the three files, with lines `----` between them.
#include "data/classes.h"
#include "data/dataset.h"
#include "tests/fuzz/fuzz.h"

using namespace osprey;

namespace {

std::string_view take_part(std::string_view& rest) {
  constexpr std::string_view kBetween = "----\n";
  const size_t end = rest.find(kBetween);
  const std::string_view part = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + kBetween.size());
  return part;
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  std::string_view rest = text_of(bytes, size);
  const ForeignFile file(take_part(rest)), names(take_part(rest)), list(rest);
  DataFile data;
  answered([&] {
    data = read_data_file(file.path());
    // Files of these names are not opened: there is more on a machine than can be read.
    for (std::string* path :
         {&data.names, &data.annotations, &data.train_annotations, &data.valid_annotations, &data.labels})
      if (!path->empty()) *path = names.path();
    for (std::string* path : {&data.train, &data.valid})
      if (!path->empty()) *path = list.path();
    const Dataset dataset = load_dataset(data, Split::train);
    dataset.report.text(dataset.names);
  });
  if (!data.path.empty()) answered([&] { load_classes(data, Split::train, true); });
  return 0;
}
