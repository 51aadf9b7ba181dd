"""Which of Darknet's networks are in cfg/, with what they were trained. The first line of each file tells its size, which
tests/models/darknet_files_test.cpp holds it to."""

from . import classifiers, trident, yolo, yolo_fastest, yolov4, yolov7
from .text import Cfg

DETECTOR = dict(batch=64, momentum=0.9, decay=0.0005, saturation=1.5, exposure=1.5, hue=0.1, policy="steps")
REDMON_2016 = "Redmon et al., \"You Only Look Once\", CVPR 2016."
REDMON_2017 = "Redmon and Farhadi, \"YOLO9000: Better, Faster, Stronger\", CVPR 2017."
REDMON_2018 = "Redmon and Farhadi, \"YOLOv3: An Incremental Improvement\", 2018."
WANG_2020 = "Wang et al., \"CSPNet\", CVPR workshops 2020."
BOCHKOVSKIY_2020 = "Bochkovskiy, Wang and Liao, \"YOLOv4: Optimal Speed and Accuracy of Object Detection\", 2020."
SCALED = "Wang, Bochkovskiy and Liao, \"Scaled-YOLOv4: Scaling Cross Stage Partial Network\", CVPR 2021."
LI_2019 = "Li et al., \"Scale-Aware Trident Networks for Object Detection\", ICCV 2019."
WANG_2022 = "Wang, Bochkovskiy and Liao, \"YOLOv7: Trainable bag-of-freebies\", 2022."

COCO = "the 80 classes of COCO"
VOC = "the 20 classes of Pascal VOC"
IMAGENET = "the 1000 classes of ImageNet"


def file(title, size, gflops, count, paper, net, build, *arguments, note=(), **keys):
    """`gflops`: of the convolutions, as Darknet prints them. `note`: further lines on top."""
    cfg = Cfg(["%s: %.3f BFLOPs, %d bytes of weights." % (title, gflops, count), paper, *note], width=size, height=size,
              channels=3, **net)
    build(cfg, *arguments, **keys)
    return cfg


def detector(title, classes, size, gflops, count, paper, build, *arguments, net, **keys):
    return file("%s, %dx%d, %s" % (title, size, size, classes), size, gflops, count, paper, dict(DETECTOR, **net), build,
                *arguments, **keys)


def classifier(title, size, gflops, count, paper, build, *arguments, net=(), classes=IMAGENET, **keys):
    training = dict(batch=128, momentum=0.9, decay=0.0005, learning_rate=0.1, policy="poly", power=4, max_batches=800000)
    return file("%s, %dx%d, %s" % (title, size, size, classes), size, gflops, count, paper, dict(training, **dict(net)),
                build, *arguments, **keys)


V1 = dict(subdivisions=4, learning_rate=0.0005, steps="200,400,600,20000,30000", scales="2.5,2,2,.1,.1", max_batches=40000)
V2 = dict(subdivisions=8, learning_rate=0.001, burn_in=1000, steps="400000,450000", scales=".1,.1", max_batches=500200)
V2_VOC = dict(V2, steps="40000,60000", max_batches=80200)
V3 = dict(V2, subdivisions=16)
V3_VOC = dict(V3, steps="40000,45000", max_batches=50200)
V4 = dict(V3, learning_rate=0.0013, steps="400000,450000", max_batches=500500, mosaic=1)
SCALED_V4 = dict(V4, learning_rate=0.001, letter_box=1, ema_alpha=0.9998, mosaic=None)
V4_TINY = dict(V3, learning_rate=0.00261, steps="1600000,1800000", max_batches=2000200)

IN_FOUR = dict(subdivisions=4)  # classifiers of larger images, or of more layers

FASTEST = dict(V2, batch=32, subdivisions=1, momentum=0.949, burn_in=4000, max_batches=500000)

V2_COCO_ANCHORS = "0.57273,0.677385, 1.87446,2.06253, 3.33843,5.47434, 7.88282,3.52778, 9.77052,9.16828"
V2_VOC_ANCHORS = "1.3221,1.73145, 3.19275,4.00944, 5.05587,8.09892, 9.47112,4.84053, 11.2364,10.0071"
V2_TINY_VOC_ANCHORS = "1.08,1.19, 3.42,4.41, 6.63,11.38, 9.42,5.11, 16.62,10.52"

TREE = ("The classes are a tree, 9k.tree, a file of Darknet that is not here: it must lie in the current folder or beside",
        "this file. Without the line tree= all classes are of one softmax, which is not what the weights learnt.")

NETWORKS = {
    "yolov1": lambda: detector("YOLOv1", VOC, 448, 40.386, 789312992, REDMON_2016, yolo.yolov1, net=V1),
    "yolov1-tiny": lambda: detector("Tiny YOLOv1", VOC, 448, 3.185, 108399820, REDMON_2016, yolo.yolov1_tiny, net=V1),
    "yolov2": lambda: detector("YOLOv2", COCO, 608, 62.961, 203934264, REDMON_2017, yolo.yolov2, 80, V2_COCO_ANCHORS,
                               random=1, net=V2),
    "yolov2-voc": lambda: detector("YOLOv2", VOC, 416, 29.371, 202704264, REDMON_2017, yolo.yolov2, 20, V2_VOC_ANCHORS,
                                   random=1, net=V2_VOC),
    "yolov2-tiny": lambda: detector("Tiny YOLOv2", COCO, 416, 5.412, 44948600, REDMON_2017, yolo.yolov2_tiny, 80,
                                    V2_COCO_ANCHORS, 512, net=V2),
    "yolov2-tiny-voc": lambda: detector("Tiny YOLOv2", VOC, 416, 6.977, 63471560, REDMON_2017, yolo.yolov2_tiny, 20,
                                        V2_TINY_VOC_ANCHORS, 1024, random=1, net=V2_VOC),
    "yolo9000": lambda: detector("YOLO9000", "9418 classes of WordNet", 544, 49.080, 195230024, REDMON_2017, yolo.yolo9000,
                                 note=TREE, net=V2),
    "yolov3-voc": lambda: detector("YOLOv3", VOC, 416, 65.442, 246714648, REDMON_2018, yolo.yolov3, 20, ignore_thresh=0.5,
                                   random=1, net=V3_VOC),
    "yolov3-openimages": lambda: detector("YOLOv3", "the 601 classes of Open Images", 608, 148.812, 259229388, REDMON_2018,
                                          yolo.yolov3, 601, random=1, net=V3),
    "yolov3-spp": lambda: detector("YOLOv3 with spatial pyramid pooling", COCO, 608, 141.531, 252209544, REDMON_2018,
                                   yolo.yolov3, 80, spp=True, random=1, net=V3),
    "yolov3-5l": lambda: detector("YOLOv3 with heads at strides 4 and 2 for small objects", COCO, 416, 79.427, 249599104,
                                  REDMON_2018, yolo.yolov3, 80, yolo.FIVE_ANCHORS, heads=5, random=1, net=V3),
    "gaussian-yolov3": lambda: detector("Gaussian YOLOv3", "the 10 classes of BDD100K", 512, 99.066, 246585408,
                                        "Choi et al., \"Gaussian YOLOv3\", ICCV 2019.", yolo.yolov3, 10,
                                        "7,10, 14,24, 27,43, 32,97, 57,64, 92,109, 73,175, 141,178, 144,291",
                                        head="Gaussian_yolo", channels=9, ignore_thresh=0.5, iou_thresh=0.213,
                                        uc_normalizer=1, cls_normalizer=1, iou_normalizer=0.5, iou_loss="giou", scale_x_y=1,
                                        random=1, net=V3),
    "yolov3-tiny-3l": lambda: detector("YOLOv3-tiny with a third head", COCO, 608, 15.778, 36881352, REDMON_2018,
                                       yolo.yolov3_tiny_3l, net=V3),
    "yolov3-tiny-prn": lambda: detector("YOLOv3-tiny with partial residual networks", COCO, 416, 3.467, 19759052,
                                        "Wang et al., \"Enriching Variety of Layer-wise Learning Information\", ICCV "
                                        "workshops 2019.", yolo.yolov3_tiny_prn, net=V3),
    "yolov4": lambda: detector("YOLOv4", COCO, 608, 128.459, 257717640, BOCHKOVSKIY_2020, yolov4.yolov4, net=V4),
    "yolov4-sam-mish": lambda: detector("YOLOv4 with mish everywhere and weighed maps", COCO, 512, 92.706, 263251336,
                                        BOCHKOVSKIY_2020, yolov4.yolov4, neck=dict(activation="mish", sam=True), net=V4),
    "yolov4-sam-mish-csp-reorg-bfm": lambda: detector("YOLOv4 with weighed maps and those of finer levels", COCO, 512, 84.320,
                                                      246251912, BOCHKOVSKIY_2020, yolov4.sam_reorg_bfm, net=SCALED_V4),
    "cd53paspp-gamma": lambda: detector("YOLOv4 with leaky instead of mish", COCO, 512, 91.095, 257717640, BOCHKOVSKIY_2020,
                                        yolov4.yolov4, activation="leaky", net=V4),
    "yolov4-tiny-3l": lambda: detector("YOLOv4-tiny with a third head", COCO, 608, 17.741, 25336200, SCALED,
                                       yolov4.yolov4_tiny_3l, net=V4_TINY),
    "yolov4-csp": lambda: detector("YOLOv4-CSP", COCO, 512, 77.003, 211944840, SCALED, yolov4.yolov4_csp, net=SCALED_V4),
    "yolov4-csp-swish": lambda: detector("YOLOv4-CSP with swish", COCO, 640, 120.317, 211944840, SCALED,
                                         yolov4.yolov4_csp, "swish", net=SCALED_V4),
    "yolov4x-mish": lambda: detector("YOLOv4x", COCO, 640, 221.986, 399388168, SCALED, yolov4.yolov4_csp,
                                     **yolov4.YOLOV4X, net=SCALED_V4),
    "yolov4-p5": lambda: detector("YOLOv4-P5", COCO, 896, 326.809, 283669892, SCALED, yolov4.yolov4_csp,
                                  **yolov4.YOLOV4_P5, net=SCALED_V4),
    "yolov4-p6": lambda: detector("YOLOv4-P6", COCO, 1280, 717.190, 510868180, SCALED, yolov4.yolov4_csp,
                                  **yolov4.YOLOV4_P6, net=SCALED_V4),
    "cspx-p7-mish": lambda: detector("YOLOv4-P7, wide", COCO, 1536, 1600.719, 1106222308, SCALED, yolov4.cspx_p7,
                                     net=dict(SCALED_V4, subdivisions=64)),
    "yolov4-csp-s-mish": lambda: detector("YOLOv4-CSP, small", COCO, 640, 20.923, 33164680, SCALED, yolov4.yolov4_csp,
                                          **yolov4.YOLOV4_CSP_S, net=SCALED_V4),
    "yolov4-csp-x-swish": lambda: detector("YOLOv4x with swish", COCO, 640, 221.986, 399388168, SCALED,
                                           yolov4.yolov4_csp, "swish", **yolov4.YOLOV4X, net=SCALED_V4),
    "yolov7": lambda: detector("YOLOv7", COCO, 640, 104.580, 147898248, WANG_2022, yolov7.yolov7, net=SCALED_V4),
    "yolov7x": lambda: detector("YOLOv7-X", COCO, 640, 189.760, 285638760, WANG_2022, yolov7.yolov7, **yolov7.YOLOV7X,
                                net=SCALED_V4),
    "yolov7-tiny": lambda: detector("YOLOv7-tiny", COCO, 416, 5.802, 24967560, WANG_2022, yolov7.yolov7_tiny,
                                    net=SCALED_V4),
    "csresnext50-panet-spp": lambda: detector("CSPResNeXt-50 with YOLOv4's neck", COCO, 512, 71.344, 228123400, WANG_2020,
                                              yolov4.csresnext50_panet_spp, net=V3),
    "csresnext50-panet-spp-original-optimal": lambda: detector(
        "CSPResNeXt-50 with YOLOv4's neck and heads", COCO, 608, 100.606, 228123400, WANG_2020, yolov4.csresnext50_panet_spp,
        yolov4.YOLOV4_ANCHORS, yolov4.YOLOV4_SCALES, **yolov4.YOLOV4_HEAD, net=V3),
    "resnet152-trident": lambda: detector("ResNet-152 as a trident", "one class", 608, 241.536, 262316084, LI_2019,
                                          trident.resnet152_trident, net=V3),
    "yolo-fastest-1.1": lambda: detector("YOLO-Fastest 1.1", COCO, 320, 0.251, 1384268, "github.com/dog-qiuqiu/Yolo-Fastest",
                                         yolo_fastest.version_1_1, net=FASTEST),
    "enet-coco": lambda: detector("EfficientNet-B0 with the heads of yolov3-tiny-prn", COCO, 416, 3.731, 19233100,
                                  "Tan and Le, \"EfficientNet\", ICML 2019.", yolo.enet_coco, net=V3),
    "darknet": lambda: classifier("Darknet's reference network", 256, 0.967, 29293940, REDMON_2016,
                                  classifiers.reference),
    "darknet19": lambda: classifier("Darknet-19", 256, 7.295, 83427124, REDMON_2017, classifiers.of_darknet19),
    "darknet53": lambda: classifier("Darknet-53", 256, 18.576, 166582580, REDMON_2018, classifiers.of_darknet53),
    "darknet19-448": lambda: classifier("Darknet-19", 448, 22.340, 83427124, REDMON_2017, classifiers.of_darknet19,
                                        net=IN_FOUR),
    "darknet53-448": lambda: classifier("Darknet-53", 448, 56.884, 166582580, REDMON_2018, classifiers.of_darknet53,
                                        net=IN_FOUR),
    "darknet9000": lambda: classifier("Darknet-19", 448, 25.719, 117940924, REDMON_2017, classifiers.darknet9000, note=TREE,
                                      classes="9418 classes of WordNet", net=IN_FOUR),
    "csdarknet53-omega": lambda: classifier("CSPDarknet-53 with mish", 256, 13.071, 110710068, BOCHKOVSKIY_2020,
                                            classifiers.of_csp_darknet53, net=IN_FOUR),
    "cifar": lambda: classifier("Darknet's network for CIFAR-10", 28, 1.625, 30748220, REDMON_2016, classifiers.cifar,
                                classes="10 classes", net=dict(learning_rate=0.4, max_batches=5000, min_crop=32, max_crop=32)),
    "darknet-tiny": lambda: classifier("Darknet's tiny network", 224, 0.985, 4185972, REDMON_2017, classifiers.tiny),
    "extraction": lambda: classifier("Extraction, the backbone of YOLOv1", 224, 8.521, 93821620, REDMON_2016,
                                     classifiers.of_extraction),
    "alexnet": lambda: classifier("AlexNet", 227, 2.154, 249513396,
                                  "Krizhevsky, Sutskever and Hinton, \"ImageNet Classification with Deep Convolutional "
                                  "Neural Networks\", 2012.", classifiers.alexnet, net=dict(learning_rate=0.01)),
    "vgg-16": lambda: classifier("VGG-16 as Darknet has it, of a part of the image", 256, 30.699, 553430196,
                                 "Simonyan and Zisserman, \"Very Deep Convolutional Networks\", ICLR 2015.",
                                 classifiers.vgg16, net=dict(learning_rate=0.00001)),
    "densenet201": lambda: classifier("DenseNet-201", 256, 10.850, 68825780,
                                      "Huang et al., \"Densely Connected Convolutional Networks\", CVPR 2017.",
                                      classifiers.densenet201),
    "efficientnet-b0": lambda: classifier("EfficientNet-B0 in AlexeyAB's widths", 224, 0.915, 19560180,
                                          "Tan and Le, \"EfficientNet\", ICML 2019.", classifiers.of_efficientnet_b0),
    "efficientnet-lite3": lambda: classifier("EfficientNet-Lite3 in AlexeyAB's widths", 288, 3.361, 30091444,
                                             "Tan and Le, \"EfficientNet\", ICML 2019.", classifiers.efficientnet_lite3,
                                             net=IN_FOUR),
}

HE = "He, Zhang, Ren and Sun, \"Deep Residual Learning for Image Recognition\", CVPR 2016."
XIE = "Xie et al., \"Aggregated Residual Transformations for Deep Neural Networks\", CVPR 2017."
for name, gflops, count, paper, arguments, keys in (
        ("ResNet-18", 4.688, 46094004, HE, ((2, 2, 2, 2), False), {}),
        ("ResNet-34", 9.520, 86556340, HE, ((3, 4, 6, 3), False), {}),
        ("ResNet-50", 9.734, 91303604, HE, ((3, 4, 6, 3),), {}),
        ("ResNet-101", 19.682, 167481012, HE, ((3, 4, 23, 3),), dict(pool_first=False)),
        ("ResNet-152", 29.372, 230239924, HE, ((3, 8, 36, 3),), dict(pool_first=False)),
        ("ResNeXt-50", 10.102, 89251508, XIE, ((3, 4, 6, 3),), dict(groups=32, widen=2)),
        ("ResNeXt-101-32x4d", 18.874, 166556852, XIE, ((3, 4, 23, 3),), dict(groups=32, expand=8)),
        ("ResNeXt-152-32x4d", 28.139, 226923700, XIE, ((3, 8, 36, 3),), dict(groups=32, expand=8))):
    # Those that end in -darknet share their names with files in PyTorch's form, for its weights.
    file_name = name.lower().replace("-", "", 1) + ("" if name == "ResNet-152" or "X" in name else "-darknet")
    NETWORKS[file_name] = lambda name=name, gflops=gflops, count=count, paper=paper, arguments=arguments, keys=keys: (
        classifier("%s as pjreddie's Darknet has it" % name, 256, gflops, count, paper, classifiers.resnet, *arguments,
                   **keys))
