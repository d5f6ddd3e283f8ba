// SPDX-License-Identifier: Apache-2.0

package pages

// The vocabulary of class text. Function words stand by how common they are; content words need no order,
// because every page chooses its own.
const (
	functionWords = `the of and to a in that is was for it with as his on be at by had not are but from or
have an they which one you were her all she there would their we him been has when who will more no if
out so said what up its about into than them can only other new some could time these two may then do
first any my now such like our over man me even most made after also did many before must through back
years where much your way well down should because each just those people how too little state good very`

	contentWords = `account action address advance afternoon agent agreement aircraft allow amount analysis
ancient animal answer apparent appeal apple approach area argue army arrange arrive article artist aspect
assembly assume attack attempt attention audience author autumn average avoid award balance bank barrier
basic basket battle beach beauty become begin behaviour belief belong bench benefit beside better between
bird board boat body book border bottle bottom branch bread break bridge brief bright bring broad broken
brother brown budget build burden business butter button cabin calm camera campaign candle capacity capital
captain carbon career careful carry castle cattle cause ceiling cell central century certain chain chair
chamber chance change channel chapter character charge cheap cheese chemical chicken chief child choice
church circle citizen civil claim class clean clear climate climb clock close cloth cloud coast coffee cold
collect college colour column combine comfort command comment common community company compare complete
complex concept concern condition conduct confirm connect consider consist constant contact contain content
contest context continue contract control convert copper copy corner correct cottage cotton council count
country county couple courage course court cover craft create credit crew crime crisis critical crop cross
crowd culture current curtain curve custom customer cycle damage dance danger daughter deal debate decade
decide decision decline deep defence define degree delay deliver demand depend depth describe desert design
desire detail develop device dialogue differ difficult dinner direct discover discuss disease display
distance district divide doctor document domestic door double doubt dozen drama draw dream dress drink drive
driver early earth east easy economy edge edition editor education effect effort eight either electric
element emerge emotion employ empty enemy energy engine enjoy enough enter entire entry equal equipment
escape establish estate evening event evidence exact example exchange exercise exist expand expect expense
experience expert explain explore express extend extra fabric face factor factory fail fair faith familiar
family famous farmer fashion father favour feature federal feeling fellow fence fibre field fifteen fifty
fight figure film final finance find finger finish fire fish flame flat flight floor flow flower follow
foot force foreign forest forget form formal former fortune forward four frame free fresh friend front fruit
fuel full function fund future gallery game garden gather general gentle glass global gold govern grain
grand grant grass great green ground group grow growth guard guess guest guide habit half hall hand handle
happen happy harbour hard harvest health hear heart heat heavy height help hidden high hill history hold
holiday hollow home honest hope horizon horse hospital hotel hour house human hundred hunter husband ideal
image impact import improve inch include income increase index indicate industry influence inform initial
inner inquiry inside insist install instance interest interior internal interview invest invite iron island
issue item join journal journey judge jury justice keep kettle kind kitchen knife knowledge labour ladder
lake land language large last late laugh launch lawyer layer lead leader leaf learn least leather leave
lecture left legal length lesson letter level liberty library light limit line liquid list listen literary
local long look loose lord loss loud lower lucky lunch machine magazine main major manage manner margin
market marriage master match material matter measure meat medical meeting member memory mental merchant
message metal method middle might mile milk million mind mineral minister minor minute mirror mission
mixture model modern moment money month moral morning mother motion motor mountain mouth move music mutual
narrow nation native nature near neck neighbour nerve network night noble noise normal north notice novel
number object observe obtain obvious occasion ocean offer office officer often open operate opinion orange
order organ origin other outline outside owner packet page pain paint pair palace panel paper parent park
part partner party passage past patient pattern pause peace pencil percent perfect perform period permit
person phase phone photograph phrase piano picture piece pilot place plain plan plane plant plastic plate
play please pocket poem point policy popular position possible pound power practice prepare presence present
press pressure pretty prevent price pride primary prince print prison private prize problem proceed process
produce product profit program progress project promise proper property propose protect proud prove provide
public pull pupil purchase pure purpose quality quarter queen question quick quiet quite rabbit race radio
rail rain raise range rapid rather reach reaction ready real reason recall receive recent record reduce
reflect reform region regular relate relief religion remain remark remember remote remove repair repeat
reply report request require rescue research reserve resist resource respect response result retain return
reveal review reward rhythm rich ride right ring rise river road rock role roof room root rough round route
royal rule rural safe sail salt sample sand satisfy save scale scene schedule school science score screen
script search season seat second secret section secure seed seek select senior sense sentence separate
series serious serve service session settle seven several shade shadow shake shape share sharp sheet shelf
shell shelter shine ship shoe shop shore short shot shoulder shout show side sight signal silence silver
simple single sister situation sixty size skill skin sleep slight slow small smile smoke smooth snow social
soft soil soldier solid solution song soon sort sound source south space speak special speech speed spend
spirit split spread spring square stable staff stage stair stand standard star start statement station
status stay steady steam steel step stick still stock stone stop store storm story straight strange stream
street strength stress stretch strike string strong structure student study style subject succeed sudden
suffer sugar suggest summer supply support suppose surface surprise survey survive sweet swim symbol system
table talent talk target task taste teach team tear technical tell tender term test theatre theme theory
thick thin thing think third thirty thought thousand thread three throw ticket tide timber title today
together tomorrow tone tongue tool tooth topic total touch tour toward tower town track trade tradition
traffic train transfer travel treat treaty tree trial tribe trick trip troop trouble truck trust truth turn
twelve twenty twice type uncle union unique unit unity university urban usual valley value variety various
vast vehicle version vessel victory view village violent virtue vision visit visual voice volume vote wage
wait walk wall warm wash waste watch water wave weapon wear weather week weight welcome west wheel white
whole wide wife wild wind window wine winter wire wise wish within witness woman wonder wood word work
worker world worry worth wound write writer yard yellow yesterday yield young youth zone`

	properNames = `Ada Alder Anselm Barrow Beatrix Calder Clara Corvin Dorian Edith Elgin Fenwick Flora
Gareth Greta Hadley Harlow Ingrid Ivor Jasper Juniper Keswick Lena Linton Mabel Marlow Nadia Norton Odell
Orla Perth Petra Quentin Rowan Selby Tamsin Thorne Ursula Verity Winslow`
)
