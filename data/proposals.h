// Boxes in which there may be an object, made beforehand, as selective search or another network makes them:
// a text file for each image, FOLDER/NAME.txt for NAME.jpg, one box a line, the best first:
//
//   x y w h [score]
//
// centre and size in units of the image, as in label files; without a score it is 1.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/box.h"
#include "data/dataset.h"

namespace osprey {

struct ProposedBox {
  CentreBox box;  // in units of the image, 0..1
  float score = 1;
};

// The parts of the boxes within the image; boxes of which nothing is left are not told. Error, with
// file:line: another number of columns, what is no number, boxes that are in pixels. Error: no such file.
std::vector<ProposedBox> read_proposals(const std::string& path);
void write_proposals(const std::string& path, std::span<const ProposedBox> proposals);

std::string proposals_path(const std::string& folder, const std::string& image);

// Names each sample's file (Sample::proposals), in the folder that the .data file's `proposals` says. Error:
// no such key, a file that is missing, two images that would have one file.
void find_proposals(Dataset& dataset, const DataFile& data);
// The images of `dataset` by their files in `folder`. Error: two of them would have one file.
void require_names_of_their_own(const Dataset& dataset, const std::string& folder);

// Writes the first of them as rows x, y, w, h, score, and returns how many: at most `capacity`. That there
// are more is told once, with the key to raise.
int write_proposal_rows(std::span<const ProposedBox> proposals, int capacity, float* rows);

}  // namespace osprey
