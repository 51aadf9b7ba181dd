#include "data/proposals.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "data/text_file.h"

namespace osprey {
namespace {

namespace fs = std::filesystem;

// Boxes hang over the image by less than this many images; what says more is in pixels.
constexpr float kMost = 4;

// What is wrong with a line, or nothing.
std::string parse_line(std::string_view line, ProposedBox& proposal) {
  const auto fields = words(line);
  if (fields.size() != 4 && fields.size() != 5)
    return fmt::format("expected `x y w h` or `x y w h score`, found {} field{}", fields.size(),
                       fields.size() == 1 ? "" : "s");
  CentreBox& b = proposal.box;
  float* const values[] = {&b.x, &b.y, &b.w, &b.h, &proposal.score};
  for (size_t i = 0; i < fields.size(); ++i)
    if (!parse_number(fields[i], *values[i]))
      return fmt::format("expected `x y w h` or `x y w h score`, but `{}` is not a number", fields[i]);
  if (std::max({std::fabs(b.x), std::fabs(b.y), b.w, b.h}) > kMost)
    return fmt::format("expected `x y w h` in units of the image, 0..1, found {} {} {} {}", b.x, b.y, b.w,
                       b.h);
  return {};
}

CentreBox within_image(CentreBox b) {
  const Box box = corners(b);
  return centre({std::max(box.x1, 0.f), std::max(box.y1, 0.f), std::min(box.x2, 1.f), std::min(box.y2, 1.f)});
}

}  // namespace

std::vector<ProposedBox> read_proposals(const std::string& path) {
  std::vector<ProposedBox> proposals;
  int number = 0;
  for (const std::string& line : read_lines(path, "the proposals")) {
    ++number;
    if (trimmed(line).empty()) continue;
    ProposedBox proposal;
    const std::string what = parse_line(line, proposal);
    if (!what.empty()) fail("{}:{}: {}", path, number, what);
    if (!(proposal.box.w > 0 && proposal.box.h > 0)) continue;
    proposal.box = within_image(proposal.box);
    if (proposal.box.w > 0 && proposal.box.h > 0) proposals.push_back(proposal);
  }
  return proposals;
}

void write_proposals(const std::string& path, std::span<const ProposedBox> proposals) {
  std::string text;
  for (const auto& [b, score] : proposals)
    text += fmt::format("{:.6g} {:.6g} {:.6g} {:.6g} {:.6g}\n", b.x, b.y, b.w, b.h, score);
  write_file(path, text);
}

std::string proposals_path(const std::string& folder, const std::string& image) {
  return (fs::path(folder) / fs::path(image).stem()).string() + ".txt";
}

void require_names_of_their_own(const Dataset& dataset, const std::string& folder) {
  std::map<std::string, std::string> image_of;
  for (const Sample& sample : dataset.samples) {
    const std::string path = proposals_path(folder, sample.image);
    const std::string& first = image_of.emplace(path, sample.image).first->second;
    if (first != sample.image)  // an image may be listed twice
      fail("{}: the proposals of {} and of {} would both be here: give images names of their own", path,
           first, sample.image);
  }
}

void find_proposals(Dataset& dataset, const DataFile& data) {
  if (data.proposals.empty())
    fail("{}: the network has [proposals], but `proposals = FOLDER` is missing (osprey propose makes one)",
         data.path);
  const std::string folder = data.resolve(data.proposals, "proposals");
  require_names_of_their_own(dataset, folder);
  for (Sample& sample : dataset.samples) {
    sample.proposals = proposals_path(folder, sample.image);
    if (!file_exists(sample.proposals))
      fail("{}: this file of proposals is missing, of {}", sample.proposals, sample.image);
  }
}

int write_proposal_rows(std::span<const ProposedBox> proposals, int capacity, float* rows) {
  if (proposals.size() > size_t(capacity))
    warn("images have more than {0} proposals, of which the first {0} count: raise num={0} in [proposals]",
         capacity);
  const int count = int(std::min(proposals.size(), size_t(capacity)));
  for (const auto& [b, score] : proposals.first(size_t(count))) {
    const float row[] = {b.x, b.y, b.w, b.h, score};
    rows = std::copy_n(row, 5, rows);
  }
  return count;
}

}  // namespace osprey
