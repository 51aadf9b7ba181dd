// Files that say how classes hang together: a tree, in which a class is a kind of another (Darknet's tree=),
// and a map, which says what class of one list each class of another is (map=).
#pragma once

#include <string>
#include <vector>

#include "core/view.h"

namespace osprey {

// A tree of classes. The children of a class, and the classes without a parent, are a group: they exclude
// each other, and a network gives each the probability that it has if its parent is there ("YOLO9000: Better,
// Faster, Stronger", Redmon and Farhadi, CVPR 2017, section 4). A parent has a lower number than its
// children. The views are of the memory in which the tree is used.
struct ClassTree {
  View<const int> parents;   // of each class; -1: none
  View<const int> groups;    // the first class of each group, and at the end the number of classes
  View<const int> group_of;  // of each class
  View<const int> children;  // of each class: the group of its children; -1: none

  HOST_DEVICE explicit operator bool() const { return bool(parents); }

  // From the conditional probabilities of all classes that of all the ancestors of one, and of the class
  // itself.
  HOST_DEVICE float of_ancestors(const float* conditional, int class_id) const {
    float product = 1;
    for (int c = parents[class_id]; c >= 0; c = parents[c]) product *= conditional[c];
    return product;
  }
  HOST_DEVICE float probability(const float* conditional, int class_id) const {
    return of_ancestors(conditional, class_id) * conditional[class_id];
  }

  // The most special class that is likelier than the threshold on the way from the first group, which always
  // goes on to the likeliest child (the first of equals); -1: not even one of the first group is.
  HOST_DEVICE int most_special(const float* conditional, float threshold) const {
    int found = -1;
    float reached = 1;
    for (int group = 0; group >= 0;) {
      int best = groups[group];
      for (int c = best + 1; c < groups[group + 1]; ++c)
        if (conditional[c] > conditional[best]) best = c;
      reached *= conditional[best];
      if (!(reached > threshold)) break;
      found = best;
      group = children[best];
    }
    return found;
  }
};

// The tables of a tree in the memory of the host.
struct ClassTreeTables {
  std::vector<int> parents, groups, group_of, children;

  int classes() const { return int(parents.size()); }
  ClassTree view() const;
};

// Where such a file is: a relative path is tried from the current folder, as Darknet does, then from that of
// the cfg file. "" if it is in neither.
std::string find_class_file(const std::string& path, const std::string& cfg_file);

// Lines `name parent`, one for each class in their order; a parent is the number of an earlier line, or -1,
// and lines with one parent that follow each other are a group.
ClassTreeTables read_class_tree(const std::string& file);

// A number, at least 0, in each line.
std::vector<int> read_class_map(const std::string& file);

}  // namespace osprey
