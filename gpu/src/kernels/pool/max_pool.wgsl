fn element(number: u32) {
    let h = {{h}};
    let w = {{w}};
    let column = i32(number % {{count_w}});
    let row = i32(number / {{count_w}} % {{count_h}});
    let plane = i32(number / {{count_w}} / {{count_h}});
    let start = {{offset}} + plane * h * w;
    let top = row * {{stride_h}} - {{padding_h}};
    let left = column * {{stride_w}} - {{padding_w}};
    let first = max(top, 0) * w + max(left, 0);
    var value = b0[start + first];
    var position = first;
    for (var y = max(top, 0); y < min(top + {{size_h}}, h); y++) {
        for (var x = max(left, 0); x < min(left + {{size_w}}, w); x++) {
            let other = b0[start + y * w + x];
            if {{better}} {
                value = other;
                position = y * w + x;
            }
        }
    }
    b1[{{values}} + i32(number)] = value;
    b2[{{positions}} + i32(number)] = position;
}
