// How the numbers of a head lie in its input and output [N,H,W,anchors x (5 + classes)]: at each location one
// row per anchor, x y w h objectness and then the classes, side by side.
#pragma once

namespace osprey {

enum RowEntry { kX, kY, kW, kH, kObjectness, kClasses };

struct Anchor {  // [yolo]: pixels of the network input; [region]: cells of the head's grid
  float w = 0, h = 0;
};

}  // namespace osprey
