import ij.IJ;
import ij.ImagePlus;
import ij.measure.Calibration;
import java.io.File;
import java.util.Arrays;

/** Opens the TIFF exports in ImageJ, without a window, and prints what it saw. */
public class InImageJ {
    public static void main(String[] arguments) {
        System.setProperty("java.awt.headless", "true");
        System.out.println("ImageJ " + IJ.getVersion());
        File[] files = new File(arguments[0], "tiff").listFiles((folder, name) -> name.endsWith(".tif"));
        Arrays.sort(files);
        for (File file : files) {
            ImagePlus image = IJ.openImage(file.getPath());
            if (image == null) {
                System.exit(1);
            }
            Calibration scale = image.getCalibration();
            int last = image.getStackSize();
            System.out.printf("%s: %d x %d, %d of %d bits, pixel %.4g x %.4g %s, 0 at %.1f, %.1f%n",
                    file.getName(), image.getWidth(), image.getHeight(), last, image.getBitDepth(),
                    scale.pixelWidth, scale.pixelHeight, scale.getUnit(), scale.xOrigin, scale.yOrigin);
            if (last > 1) {
                System.out.println("  last image: " + image.getStack().getSliceLabel(last));
            }
            if (file.getName().equals("labels.tif")) {
                int label = (int) image.getProcessor().getStatistics().max;
                int colour = image.getProcessor().getColorModel().getRGB(1) & 0xffffff;
                System.out.printf("  largest label %d, colour of label 1 #%06x%n", label, colour);
                if (colour != 0x2f6fd0) { // the first colour of the report
                    System.exit(1);
                }
            }
        }
    }
}
