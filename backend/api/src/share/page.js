const place = document.getElementById("print");
place.hidden = place.parentElement.hidden = false;
place.firstElementChild.onclick = async () => {
  const pictures = [...document.images];
  for (const picture of pictures) picture.loading = "eager";
  await Promise.allSettled(pictures.map((picture) => picture.decode()));
  window.print();
};
